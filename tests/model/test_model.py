"""The statements of the program do what the model says, alone and at once. `make model` looks longer, and elsewhere each time."""

from hypothesis.stateful import run_state_machine_as_test

from tests.model.connections import Connections
from tests.model.machine import JobMachine
from tests.model.profiles import CHOSEN


def test_the_statements_do_what_the_model_says(dsn):
    with Connections.open(dsn) as connections:
        run_state_machine_as_test(lambda: JobMachine(connections), settings=CHOSEN)
