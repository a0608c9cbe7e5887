"""Commands that a person types keep log lines off the screen: what fails is raised, and told where it is caught."""

from __future__ import annotations

import logging

import structlog


def quieten_logs() -> None:
    """From now on this process logs nothing."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
