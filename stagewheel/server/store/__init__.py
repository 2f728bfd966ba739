"""The durable truth: LMDB tables whose byte order is the order we need, and a twin of them in memory."""
