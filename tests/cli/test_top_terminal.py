# weir-test: timeout=60
"""weir top on a terminal: it draws within the window, follows its size, q leaves, and the terminal is as it was."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

weir = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
heat = os.path.join(os.environ["WEIR_BUILD"], "bin", "heat2d")
recipe = os.path.join(os.environ["WEIR_SOURCE"], "examples", "heat.yaml")
if not os.path.exists(heat) or not os.path.exists(weir):
    print("the command or the example heat2d is not built")
    sys.exit(77)


def read_until(fd, pattern, seconds):
    text, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            text += os.read(fd, 65536).decode(errors="replace")
        if re.search(pattern, text):
            return text
    raise AssertionError(f"no {pattern!r} in {text!r}")


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def widest(text):
    lines = re.split(r"\r\n", re.sub(r"\033\[\??[0-9;]*[A-Za-z]", "", text.replace("\033[H", "\r\n")))
    return max(len(line) for line in lines)


def look(folder, leave):
    master, slave = pty.openpty()
    resize(master, 24, 60)
    before = termios.tcgetattr(slave)
    top = subprocess.Popen([weir, "top", "heat.run"], cwd=folder, stdin=slave, stdout=slave, stderr=slave,
                           env={**os.environ, "TERM": "xterm"}, start_new_session=True,
                           preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    text = read_until(master, r"worker +host[^\r]* beat[^\r]*\r\n[^\r]*0 [^\r]* s", 20)
    assert "\033[?1049h" in text and widest(text) <= 60, text
    during = termios.tcgetattr(slave)
    assert not during[3] & termios.ICANON and not during[3] & termios.ECHO
    resize(master, 3, 200)
    os.killpg(top.pid, signal.SIGWINCH)
    text = read_until(master, r"\033\[J", 5)
    os.write(master, leave)
    text = read_until(master, r"\033\[\?1049l", 5)
    assert top.wait(5) == 0
    assert "\033[?25h" in text
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


with tempfile.TemporaryDirectory() as folder:
    run = subprocess.Popen([weir, "run", recipe, "--dir", "heat.run", "--", heat, "300", "300", "2000000", "10"], cwd=folder,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            done = subprocess.run([weir, "top", "heat.run", "--once"], cwd=folder, capture_output=True, text=True)
            if re.search(r"^heat   running.* step ", done.stdout, re.M):
                break
            time.sleep(0.1)
        look(folder, b"q")
        look(folder, b"\x03")  # Ctrl-C
        assert run.poll() is None, "the run has ended because somebody looked at it"
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(30)
print("all as expected")
