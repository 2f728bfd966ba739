"""Mail in: an SMTP listener that turns messages of clients into events, and bounces into what they mean."""
