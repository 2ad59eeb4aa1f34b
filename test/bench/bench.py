#!/usr/bin/python3
"""bench.py --bin FOLDER --tmp FOLDER [--quick] [--only WORD] - measures; run.sh calls it.

--bin is a build folder with `litestream` and the programs of this folder; below --tmp all
data is made and removed. Times are the best of several turns where the machine's other load
could only add to them.
"""

import argparse
import os
import platform
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time

from daemon import Daemon, Proc, make_small_db, wait_until

KIB = 1024
WAL_HEADER_SIZE = 32
WAL_OFFSET_AT = 48  # in the header of an LTX file; the size follows


def ltx_names(folder):
    return sorted(n for n in os.listdir(folder) if n.endswith(".ltx"))


def wal_end_of(path):
    """The byte of the WAL that an LTX file goes to."""
    with open(path, "rb") as f:
        return sum(struct.unpack_from(">qq", f.read(100), WAL_OFFSET_AT))


class Bench:
    def __init__(self, options):
        self.quick = options.quick
        self.only = options.only
        self.bin = os.path.join(options.bin, "supervisor", "litestream")
        self.tools = os.path.join(options.bin, "test", "bench")
        self.tmp = options.tmp
        self.rows = []

    # --- helpers ---

    def row(self, figure, target, measured):
        self.rows.append((figure, target, measured))
        print(f"  {figure}: {measured}", file=sys.stderr, flush=True)

    def folder(self, name):
        path = os.path.join(self.tmp, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def tool(self, name, *args, prefix=()):
        """Runs a program of this folder; its output and how many seconds it took."""
        begin = time.monotonic()
        done = subprocess.run(
            [*prefix, os.path.join(self.tools, name), *map(str, args)],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        return done.stdout, time.monotonic() - begin

    def make_db(self, path, megabytes):
        self.tool("bench_make_db", path, megabytes)

    def small_dbs(self, folder, n):
        pairs = [(f"{folder}/{i}.db", f"{folder}/replica/{i}") for i in range(n)]
        for path, _ in pairs:
            make_small_db(path)
        return pairs

    # --- how long a commit takes to the replica ---

    def delays(self, mode, seconds, pairs):
        flat = [p for db, replica in pairs for p in (db, f"{replica}/ltx/0")]
        out, _ = self.tool("bench_commit_delay", mode, seconds, *flat)
        return sorted(int(line) / 1000 for line in out.split())

    @staticmethod
    def percentile(sorted_values, p):
        return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p / 100))]

    def commit_delay(self):
        folder = self.folder("delay")
        pairs = self.small_dbs(folder, 6)
        with Daemon(self.bin, folder, pairs) as d:
            d.wait_ready()
            d.wait_replicated()
            quiet = self.delays("quiet", 12 if self.quick else 90, pairs)
            busy = self.delays("busy", 6 if self.quick else 30, pairs[:1])
            flood = self.delays("flood", 6 if self.quick else 15, pairs[1:2])
        p50, p99 = self.percentile(quiet, 50), self.percentile(quiet, 99)
        self.row(
            "commit after a quiet second to durable on a file replica, p50 / p99",
            "10 / 50 ms",
            f"{p50:.1f} / {p99:.1f} ms (max {quiet[-1]:.1f}, n {len(quiet)})",
        )
        p99 = self.percentile(busy, 99)
        self.row(
            "the same under constant writes (1 ms between commits), p99",
            "1050 ms",
            f"{p99:.0f} ms (max {busy[-1]:.0f}, n {len(busy)})",
        )
        p99 = self.percentile(flood, 99)
        self.row(
            "the same without any pause between commits, p99",
            "-",
            f"{p99:.0f} ms (max {flood[-1]:.0f}, n {len(flood)})",
        )

    # --- idle workers ---

    def idle(self):
        n = 50 if self.quick else 200
        seconds = 15 if self.quick else 60
        folder = self.folder("idle")
        with Daemon(self.bin, folder, self.small_dbs(folder, n)) as d:
            d.wait_ready()
            d.wait_replicated()
            # The safety look, which gives memory back, comes after 10 to 12.5 s; a minute
            # after the first commit there is one checkpoint, and nothing more then.
            time.sleep(13 if self.quick else 80)
            workers = d.workers()
            procs = [d.proc, *workers]
            before = [(p.ticks(), p.switches()[0]) for p in procs]
            time.sleep(seconds)
            after = [(p.ticks(), p.switches()[0]) for p in procs]
            memory = [w.memory() for w in workers]
        ticks = [a[0] - b[0] for a, b in zip(after, before)]
        wakes = [a[1] - b[1] for a, b in zip(after, before)]

        def mean(key):
            return sum(m[key] for m in memory) / n

        self.row(
            f"memory of one of {n} idle workers: Pss (anonymous Pss, Private_Dirty)",
            "400 KB",
            f"{mean('Pss'):.0f} KB ({mean('Pss_Anon'):.0f}, {mean('Private_Dirty'):.0f})",
        )
        self.row(
            f"CPU of one idle worker in {seconds} s",
            "0 ticks but the safety poll's",
            f"{sum(ticks[1:]) / n:.2f} ticks of 10 ms, {sum(wakes[1:]) / n:.1f} wake-ups",
        )
        self.row(
            f"CPU of the idle supervisor in {seconds} s",
            "0 ticks",
            f"{ticks[0]} ticks, {wakes[0]} wake-ups",
        )

    @staticmethod
    def used_kib():
        """What the system uses for programs, the kernel's part included, without caches."""
        parts = ("AnonPages", "Shmem", "PageTables", "KernelStack", "SUnreclaim", "Percpu")
        with open("/proc/meminfo", encoding="utf-8") as f:
            found = dict(re.findall(r"^(\w+):\s*(\d+)", f.read(), re.MULTILINE))
        return sum(int(found[name]) for name in parts)

    def settled_kib(self):
        """The same, once the kernel has given back what ended processes had, bit by bit."""
        used = self.used_kib()
        for _ in range(12):
            time.sleep(5)
            was, used = used, self.used_kib()
            if was - used < KIB:
                break
        return used

    def list_ms(self, folder):
        """How long the daemon takes to list its databases over the control socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{folder}/sock")
            begin = time.monotonic()
            s.sendall(b"GET /list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := s.recv(65536):
                answer += piece
            took = time.monotonic() - begin
        if b" 200 " not in answer.partition(b"\r\n")[0]:
            raise RuntimeError(f"/list: {answer[:200]!r}")
        return 1000 * took

    def many(self):
        n = 200 if self.quick else 1000
        seconds = 10 if self.quick else 60
        folder = self.folder("many")
        pairs = self.small_dbs(folder, n)
        settings = {"socket": {"enabled": True, "path": f"{folder}/sock"}}
        with Daemon(self.bin, folder, pairs) as d:
            d.wait_replicated()
            d.wait_ready()
        before = self.settled_kib()
        with Daemon(self.bin, folder, pairs, settings=settings) as d:
            ready = d.wait_ready()
            time.sleep(15)  # as above: a worker gives memory back when it was quiet for a while
            used = self.used_kib() - before
            procs = [d.proc, *d.workers()]
            ticks = sum(p.ticks() for p in procs)
            time.sleep(seconds)
            ticks = sum(p.ticks() for p in procs) - ticks
            lists = sorted(self.list_ms(folder) for _ in range(20))
        self.row(f"start with {n} idle databases until all are ready", "3 s", f"{ready:.2f} s")
        self.row(
            f"memory of all of {n} idle databases, the kernel's included, for each",
            "450 KB",
            f"{used / n:.0f} KB",
        )
        self.row(
            f"CPU of {n} idle databases in {seconds} s",
            "0.5 % of a core",
            f"{ticks / seconds:.2f} %",
        )
        self.row(
            f"/list over {n} databases, median / worst of 20",
            "20 ms",
            f"{lists[10]:.1f} / {lists[-1]:.1f} ms",
        )

    # --- large databases ---

    def snapshot_once(self, folder, db, cores):
        """Seconds from the start to the image on the replica; size of the worker's peak."""
        replica = os.path.join(folder, "replica")
        shutil.rmtree(replica, ignore_errors=True)
        shutil.rmtree(os.path.join(folder, f".{os.path.basename(db)}-litestream"), True)
        os.sync()
        with Daemon(self.bin, folder, [(db, replica)], cores) as d:
            seconds = d.wait_replicated()
            peak = d.workers()[0].peak_kib()
        return seconds, peak

    def restore_once(self, folder, *flags):
        """Seconds and the peak memory in KiB."""
        output = os.path.join(folder, "restored.db")
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(output + suffix):
                os.unlink(output + suffix)
        os.sync()
        begin = time.monotonic()
        p = subprocess.Popen(
            [self.bin, "restore", *flags, "-o", output, f"file://{folder}/replica"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = 0  # not what wait4 tells: there this program's memory counts, too
        while p.poll() is None:
            peak = max(peak, Proc(p.pid).peak_kib())
            time.sleep(0.005)
        seconds = time.monotonic() - begin
        if p.returncode != 0:
            raise RuntimeError(f"restore ended with {p.returncode}")
        return seconds, peak

    @staticmethod
    def copy_once(source, target):
        """cp and a sync of its result."""
        if os.path.exists(target):
            os.unlink(target)
        os.sync()
        begin = time.monotonic()
        subprocess.run(["cp", "--reflink=never", source, target], check=True)
        fd = os.open(target, os.O_RDWR)
        os.fsync(fd)
        os.close(fd)
        seconds = time.monotonic() - begin
        os.unlink(target)
        return seconds

    def bare_once(self, folder, db):
        target = os.path.join(folder, "bare.lz4")
        os.sync()
        seconds = self.tool("bench_bare_lz4", db, target, prefix=["taskset", "-c", "1"])[1]
        os.unlink(target)
        return seconds

    def large(self):
        megabytes = 256 if self.quick else 1024
        turns = 3 if self.quick else 5
        folder = self.folder("large")
        db = os.path.join(folder, "large.db")
        self.make_db(db, megabytes)
        bare, ours, copies, restores = [], [], [], []
        for _ in range(turns):  # taken in turns, so that other load meets both alike
            bare.append(self.bare_once(folder, db))
            ours.append(self.snapshot_once(folder, db, "1")[0])
        for _ in range(turns):
            copies.append(self.copy_once(db, os.path.join(folder, "copy.db")))
            restores.append(self.restore_once(folder))
        peak = max(r[1] for r in restores)
        restored = min(r[0] for r in restores)
        self.row(
            f"snapshot of {megabytes} MB to a file replica on one core, against bare LZ4",
            "1.3 x",
            f"{min(ours) / min(bare):.2f} x ({min(ours):.2f} s, {min(bare):.2f} s)",
        )
        self.row(
            f"restore of {megabytes} MB, against cp and fsync",
            "1.5 x",
            f"{restored / min(copies):.2f} x ({restored:.2f} s, {min(copies):.2f} s)",
        )
        self.row(f"peak memory of that restore", "32 MB", f"{peak / KIB:.1f} MB")
        shutil.rmtree(folder)

    def peaks(self):
        sizes = (64, 512) if self.quick else (100, 4096)
        peaks = []
        for megabytes in sizes:
            folder = self.folder("peak")
            db = os.path.join(folder, "peak.db")
            self.make_db(db, megabytes)
            peaks.append(self.snapshot_once(folder, db, None)[1] / KIB)
            shutil.rmtree(folder)  # before the next one needs the room
        self.row(
            f"peak memory of a worker during a snapshot of {sizes[0]} and {sizes[1]} MB",
            "equal within 10 %, 32 MB",
            f"{peaks[0]:.1f} and {peaks[1]:.1f} MB ({(peaks[1] / peaks[0] - 1) * 100:+.0f} %)",
        )

    # --- a backlog, and merging what it was captured as ---

    def wait_captured(self, daemon, folder, end):
        """Waits until level 0 goes to this byte of the WAL; seconds since the start."""
        level = os.path.join(folder, "ltx", "0")

        def done():
            return wal_end_of(os.path.join(level, ltx_names(level)[-1])) >= end

        wait_until(done, 120, "the backlog on the replica")
        return time.monotonic() - daemon.started

    def backlog(self):
        megabytes = 128 if self.quick else 1024
        folder = self.folder("backlog")
        db, replica = os.path.join(folder, "app.db"), os.path.join(folder, "replica")
        settings = {"levels": [{"interval": "24h"}]}
        self.make_db(db, megabytes // 2)
        with Daemon(self.bin, folder, [(db, replica)], settings=settings) as d:
            d.wait_replicated()
            d.wait_ready()
        before = set(os.listdir(os.path.join(replica, "ltx", "0")))
        wal_bytes = int(self.tool("bench_writer", "backlog", db, megabytes)[0])
        os.sync()
        with Daemon(self.bin, folder, [(db, replica)], settings=settings) as d:
            seconds = self.wait_captured(d, replica, WAL_HEADER_SIZE + wal_bytes)
            ticks = sum(p.ticks() for p in [d.proc, *d.workers()])
        cpu = ticks / os.sysconf("SC_CLK_TCK")
        mib = wal_bytes / KIB / KIB
        self.row(
            f"catching up with {mib:.0f} MB of WAL, from the start to a file replica",
            "-",
            f"{mib / seconds:.0f} MB/s ({seconds:.2f} s)",
        )
        self.row("CPU of that", "-", f"{cpu / (mib / KIB):.2f} s per GB of WAL")
        level = os.path.join(replica, "ltx", "0")
        paths = [os.path.join(level, n) for n in ltx_names(level) if n not in before]
        size, copied, anew = self.tool("bench_merge", *paths)[0].split()
        mib = int(size) / KIB / KIB
        self.row(
            f"merging {len(paths)} LTX files of {mib:.0f} MB of pages, against compressing anew",
            "3 x",
            f"{float(anew) / float(copied):.2f} x "
            f"({mib / float(copied):.0f} and {mib / float(anew):.0f} MB/s of CPU)",
        )
        shutil.rmtree(folder)

    # --- restoring many small files ---

    def small_files(self):
        n = 200 if self.quick else 1000
        folder = self.folder("small")
        db, replica = os.path.join(folder, "app.db"), os.path.join(folder, "replica")
        level = os.path.join(replica, "ltx", "0")
        self.make_db(db, 64)
        settings = {"levels": [{"interval": "24h"}], "l0-retention": "24h", "sync-interval": "1ms"}
        each = {"monitor-interval": "1ms"}
        con = sqlite3.connect(db, isolation_level=None)
        with Daemon(self.bin, folder, [(db, replica)], settings=settings, each=each) as d:
            d.wait_replicated()
            d.wait_ready()
            for i in range(1, n + 1):
                con.execute("UPDATE item SET price = price + 1 WHERE id % 9973 = ?", (i,))
                wait_until(lambda: len(ltx_names(level)) > i, 10, "a file")
        con.close()
        copies = [self.copy_once(db, os.path.join(folder, "copy.db")) for _ in range(5)]
        times = [self.restore_once(folder)[0] for _ in range(5)]
        self.row(
            f"restore of 64 MB and {n} LTX files of level 0",
            "-",
            f"{min(times):.2f} s (cp and fsync {min(copies):.2f} s)",
        )
        shutil.rmtree(folder)

    # --- what the application notices ---

    def app(self):
        seconds = 3 if self.quick else 10
        turns = 3 if self.quick else 5
        folder = self.folder("app")
        db, replica = os.path.join(folder, "app.db"), os.path.join(folder, "replica")
        self.make_db(db, 64)
        alone, beside, without = [], [], []

        def rate(auto_checkpoint):
            return float(self.tool("bench_writer", "rate", db, seconds, auto_checkpoint)[0])

        for _ in range(turns):  # taken in turns, so that other load meets all alike
            os.sync()
            alone.append(rate(1000))
            with Daemon(self.bin, folder, [(db, replica)]) as d:
                d.wait_replicated()
                d.wait_ready()
                os.sync()
                beside.append(rate(1000))
                os.sync()
                without.append(rate(0))

        def share(rates):
            parts = sorted(b / a * 100 for a, b in zip(alone, rates))
            return (
                f"{parts[turns // 2]:.0f} % (from {parts[0]:.0f} to {parts[-1]:.0f}; "
                f"{max(rates):.0f} and {max(alone):.0f} a second)"
            )

        name = "commits of an application with replication, against those without"
        self.row(f"{name}; wal_autocheckpoint = 0 there", "95 %", share(without))
        self.row(f"{name}; wal_autocheckpoint = 1000 in both", "-", share(beside))
        shutil.rmtree(folder)

    # --- all ---

    def run(self):
        for part in (
            self.commit_delay,
            self.idle,
            self.many,
            self.large,
            self.peaks,
            self.backlog,
            self.small_files,
            self.app,
        ):
            if self.only and self.only != part.__name__:
                continue
            part()

    def table(self):
        widths = [max(len(r[i]) for r in self.rows) for i in range(2)]
        for figure, target, measured in [("figure", "target", "measured"), *self.rows]:
            print(f"{figure:{widths[0]}} | {target:{widths[1]}} | {measured}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        models = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--tmp", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only")
    bench = Bench(parser.parse_args())
    # an exception, which stops the daemon on its way out
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    before = os.getloadavg()[0]
    bench.run()
    if not bench.rows:
        sys.exit("bench.py: --only names no measurement")
    print(f"{machine()}; load before {before:.1f}, after {os.getloadavg()[0]:.1f}\n")
    bench.table()


if __name__ == "__main__":
    main()
