"""One file for each way out, from e-mail to webhook, all answering with the same four outcomes."""
