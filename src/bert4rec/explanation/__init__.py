"""Attribution of a score to events and features."""
