"""Item actors at work: the mailbox, and the turn that loads, decides and collects under one transaction."""
