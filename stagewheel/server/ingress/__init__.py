"""The door for commands: frames come in from the ROUTER socket, are admitted or refused, and are answered."""
