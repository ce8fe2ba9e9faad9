"""What an import takes, over a Python that has loaded nothing: time, modules, memory. Run as a script, it imports nothing else.

The first argument is the module to be imported; nothing is imported where it is empty.
"""

import sys

if __name__ == "__main__":
    import resource
    import time

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    loaded, used, began = len(sys.modules), cpu(), time.perf_counter()
    if sys.argv[1]:
        __import__(sys.argv[1])
    wall, busy = time.perf_counter() - began, cpu() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    modules = len(sys.modules) - loaded
    print(f'{{"wall_ms": {wall * 1e3}, "cpu_ms": {busy * 1e3}, "modules": {modules}, "peak_mib": {peak}}}')
