"""Raw data: fetched, unpacked, described, verified."""
