"""Muon and the schedules."""
