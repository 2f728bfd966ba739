"""What client and server share: messages, encoding, frames, the sans-IO session, the one ZeroMQ socket."""
