"""What TensorBoard reads in a folder of event files: scalars.py FOLDER.

Prints a line for each scalar, `TAG STEP VALUE SECONDS`, the tags in alphabetical order.
"""

import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main():
    events = EventAccumulator(sys.argv[1])
    events.Reload()
    for tag in sorted(events.Tags()["scalars"]):
        for scalar in events.Scalars(tag):
            print(tag, scalar.step, scalar.value, scalar.wall_time)


if __name__ == "__main__":
    main()
