"""The original report's system, written afresh: the yardstick of our comparison. See README.md beside this file."""
