"""How long the machine looks: a fixed minute's worth for `make test`, as long as one likes for `make model`."""

import os

from hypothesis import HealthCheck, Phase, settings

# A computer under load is no failure, and what is not allowed in a state is often most of what was drawn.
_PATIENT = settings(deadline=None, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)

# The same examples every time: a change that breaks them is the change at hand.
QUICK = settings(_PATIENT, max_examples=80, stateful_step_count=30, derandomize=True, database=None)
# A defect need only be found, not explained.
SEEKING = settings(QUICK, max_examples=300, phases=[Phase.generate])


# Set by `make model`: how many examples, other ones each time and longer ones.
EXAMPLES = int(os.environ.get("JOBHUB_MODEL_EXAMPLES", "0"))
CHOSEN = settings(_PATIENT, max_examples=EXAMPLES, stateful_step_count=60, print_blob=True) if EXAMPLES else QUICK
