"""What an optimizer is on given parameters: its parts, groups and state, and what is doubtful about them."""

from gradtx.diagnostics.data import Component as Component
from gradtx.diagnostics.data import Entry as Entry
from gradtx.diagnostics.data import ParameterGroup as ParameterGroup
from gradtx.diagnostics.data import Summary as Summary
from gradtx.diagnostics.summary import summary as summary
