"""One reader a publisher: each turns that publisher's files into the shared snapshot table."""
