"""Deciding. Pure: no trio, no clock, no log, no input or output."""
