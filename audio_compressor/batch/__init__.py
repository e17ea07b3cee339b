"""One run's work: a batch of recordings from the source to storage."""
