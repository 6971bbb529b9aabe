"""What several tests share. No test file imports another."""
