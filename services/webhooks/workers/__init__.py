"""What webhooks does by itself: it sends, measures and tidies."""
