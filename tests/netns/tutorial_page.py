"""A page of documentation whose commands are typed: its console blocks, what was answered, and whether that is what the page says.

The prompts name the machines: `root@alpha:~# ping beta`. In an answer `...` stands for any words; times, amounts, SPIs and the like
are not compared, nor is where a line breaks."""
import glob
import itertools
import re
import shutil
import time

from lib import expect

PROMPT = re.compile(r"^root@(alpha|beta):~# (.*)$")


def steps(text):
    """(line of the prompt, machine, command, first and last line of its answer) of every console block."""
    lines, inside, found = text.split("\n"), False, []
    for i, line in enumerate(lines):
        if line.startswith("```"):
            inside = not inside and line == "```console"
            continue
        asked = PROMPT.match(line)
        if not inside or not asked:
            continue
        end = i + 1
        while not lines[end].startswith("```") and not PROMPT.match(lines[end]):
            end += 1
        found.append((i, asked.group(1), asked.group(2), i + 1, end))
    return lines, found


PLAIN = [
    (r"\d{4}-\d\d-\d\d", "DATE"), (r"\d\d:\d\d:\d\d(\.\d+)?", "TIME"), (r"spi=0x[0-9a-f]+|0x[0-9a-f]{8,}", "SPI"), (r"\b[0-9a-f]{16}\b", "SPI"),
    (r"\b[0-9A-F]{2}(:[0-9A-F]{2}){7,}\b", "PRINT"), (r"seq=0x[0-9a-f]+", "SEQ"),
    (r"(?<![\w.])\d+(\.\d+)? ?(B|kB|MB|KiB|ms|s|min|h|days|octets|packets|bytes)\b", "AMOUNT"), (r"(AMOUNT ?)+", "AMOUNT"),
    (r"\d+\.\d+(/\d+\.\d+)+", "N/N"),
    (r", pipe \d+", ""),
    (r"Plane     (kernel|userspace)( \([^)]*\))?(, \d+ workers)?", "PLANE"),  # as this machine's kernel has it
    (r"(length|icmp_seq=|id|ttl=|seq|time=?) ?\d+(\.\d+)?", r"\1 N"),
]


def plain(text):
    """The words; where a line breaks depends on how long the numbers in it are."""
    for pattern, word in PLAIN:
        text = re.sub(pattern, word, text)
    return text.split()


def agree(page, real):
    """`...` on the page stands for any words."""
    page, real = plain(page), plain(real)
    if "..." not in page:
        return page == real
    at = 0
    while page:
        part = list(itertools.takewhile(lambda w: w != "...", page))
        page = page[len(part) + 1:]
        while part and real[at:at + len(part)] != part:
            if at >= len(real):
                return False
            at += 1
        at += len(part)
    return True


def follow(path, machines, write=False):
    """Type every command on its machine; a machine has type(command, machines), which returns the status and what was said."""
    with open(path, encoding="utf-8") as f:
        lines, found = steps(f.read())
    new, copied = [], 0
    for line, name, command, start, end in found:
        began = time.time()
        status, answer = machines[name].type(command, machines)
        shown = "\n".join(lines[start:end])
        same = agree(shown, answer) and not (shown == "..." and status)  # what is not shown must at least have worked
        if not write:
            expect("line %d, %s: %s (%.1f s)%s" % (line + 1, name, command, time.time() - began,
                                                  "" if same else "\n---- the page\n%s\n---- the machine\n%s" % (shown, answer)), same)
        new += lines[copied:start]
        new += lines[start:end] if same else [w.rstrip() for w in answer.rstrip().split("\n")] if answer.strip() else []
        copied = end
    expect("the page has steps", len(found) > 10)
    if write:
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(new + lines[copied:]))


def copy_to(words, from_root, machines):
    """What scp does, from one machine's root to another's."""
    files, (to, path) = [w for w in words[:-1] if not w.startswith("-")], words[-1].split(":")
    for pattern in files:
        found = glob.glob(from_root + (pattern if pattern.startswith("/") else "/root/" + pattern))
        if not found:
            return 1, "scp: %s: No such file or directory\n" % pattern
        for f in found:
            shutil.copy(f, machines[to.split("@")[-1]].root + path)
    return 0, ""
