"""Schedules, objectives and the engines that train."""
