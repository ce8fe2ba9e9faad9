"""What an import takes, over a Python that has loaded nothing: time, modules, memory. Run as a script, it imports nothing else.

The first argument is the module to be imported; nothing is imported where it is empty.
"""

import sys

if __name__ == "__main__":
    import resource
    import time

    def peak() -> float:
        """See `machine.peak_mib`, which this program does not import."""
        if sys.platform == "linux":
            with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib would be imported for it, and counted
                return next(int(line.split()[1]) / 2**10 for line in status if line.startswith("VmHWM:"))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    loaded, used, began = len(sys.modules), cpu(), time.perf_counter()
    if sys.argv[1]:
        __import__(sys.argv[1])
    wall, busy = time.perf_counter() - began, cpu() - used
    modules = len(sys.modules) - loaded
    print(f'{{"wall_ms": {wall * 1e3}, "cpu_ms": {busy * 1e3}, "modules": {modules}, "peak_mib": {peak()}}}')
