"""Power cuts, enumerated: workloads, the images a cut may leave of them, and what must hold of each.

    workloads   what is done, by seed, and what may be left of it
    disk        what the disk holds and may hold
    cutting     which images of one workload are looked at, by number
    judging     what must hold of an image
    running     many workloads, counted, on several processors
    faults      mistakes in the engine that can be switched on, to show that they are found

``python -m powercut --help`` (with PYTHONPATH=tests) runs it.
"""
