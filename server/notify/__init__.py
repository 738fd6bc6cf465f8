"""Tells families that something happened, once each, without saying what on a lock screen."""
