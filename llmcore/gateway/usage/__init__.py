"""What was used, by whom, for how much: recorded beside the requests, summed by day, kept for a time, exported."""
