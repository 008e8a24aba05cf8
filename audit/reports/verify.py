#!/usr/bin/env python3
"""Checks a Signalbox report bundle, or the evidence of one decision, with Python alone, offline.

    python3 -I -S verify.py bundle.zip --key key.pub
    python3 -I -S verify.py bundle.zip --key key.pub --sample SEED

KEY is the log's verifier key (name+hash+base64), as a file or as text, obtained from the operator
by another way than the bundle. Exit code 0: everything below holds. 1: it does not, and the
sentence says why. Nothing is unpacked to disk, nothing is executed, memory stays bounded.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import struct
import sys
import zipfile

FORMAT = "signalbox-report/2"
EVIDENCE = "signalbox-evidence/1"
MANIFEST_HEAD = "signalbox.report/1"
FILES = {
    "README.txt",
    "checkpoint-end.txt",
    "checkpoint-start.txt",
    "earlier.jsonl",
    "entries.jsonl",
    "events.csv",
    "frontier-start.txt",
    "policies.jsonl",
    "report.html",
    "report.json",
    "report.pdf",
    "verify.py",
}
EVIDENCE_FILES = {
    "README.txt",
    "checkpoint.txt",
    "evidence.html",
    "evidence.json",
    "evidence.pdf",
    "proven.jsonl",
    "verify.py",
}
SIGNED = {"manifest.json", "manifest.note"}
SMALL = 1 << 20
MAX_ENTRY = 65_535
# A proof line holds an entry as JSON text (every byte may need six) and at most 64 hashes.
MAX_PROVEN = 6 * MAX_ENTRY + 8192
MAX_DOCUMENT = 1 << 20
MAX_STEPS = 64
SAMPLE = 25
CHUNK = 1 << 18
COLUMNS = (
    "seq", "in_period", "at", "kind", "actor_kind", "actor", "roles", "object_type", "object_id",
    "result", "reason", "request_id", "decision_id", "id",
)  # fmt: skip
TERMINAL = frozenset(
    "decision." + outcome
    for outcome in (
        "completed", "failed", "aborted", "blocked", "held", "refused", "safe_default",
        "outcome_unknown",
    )
)  # fmt: skip


class Problem(Exception):
    """The bundle does not hold; the message is the sentence for the person who checks it."""


# --- Ed25519 (RFC 8032), verification only -------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return P - x if (x & 1) != sign else x


def _add(a, b):
    left = (a[1] - a[0]) * (b[1] - b[0]) % P
    right = (a[1] + a[0]) * (b[1] + b[0]) % P
    cross = 2 * a[3] * b[3] * D % P
    depth = 2 * a[2] * b[2] % P
    e, f, g, h = right - left, depth - cross, depth + cross, right + left
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _point(encoded):
    value = int.from_bytes(encoded, "little")
    y = value & ((1 << 255) - 1)
    x = _recover_x(y, value >> 255)
    return None if x is None else (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (_recover_x(_BASE_Y, 0), _BASE_Y, 1, _recover_x(_BASE_Y, 0) * _BASE_Y % P)


def ed25519_is_good(public, message, signature):
    """Whether the 64-byte signature over the message is by the 32-byte public key."""
    if len(public) != 32 or len(signature) != 64:
        return False
    key = _point(public)
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    k = int.from_bytes(digest, "little") % L
    minus = (P - key[0], key[1], key[2], P - key[3])
    both = _add(BASE, minus)
    result = (0, 1, 1, 0)
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        result = _add(result, result)
        choice = (s >> bit & 1) | (k >> bit & 1) << 1
        if choice:
            result = _add(result, (BASE, minus, both)[choice - 1])
    inverse = pow(result[2], P - 2, P)
    x, y = result[0] * inverse % P, result[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# --- Signed notes and checkpoints (C2SP) ---------------------------------------------------------


def read_key(given):
    """(name, key id, public key) from the text of a verifier key or the file that holds it."""
    text = given
    if os.path.isfile(given):
        with open(given, encoding="utf-8") as file:
            text = file.read(4096)
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise Problem("the key is not a verifier key (name+hash+base64)") from None
    if len(blob) != 33 or blob[0] != 1:
        raise Problem("the key is not an Ed25519 verifier key")
    if hashlib.sha256(name.encode() + b"\n" + blob).digest()[:4].hex() != key_id:
        raise Problem("the hash inside the key does not belong to it: it was copied wrongly")
    return name, bytes.fromhex(key_id), blob[1:]


def open_note(note, key, what):
    """The text of a signed note, once the given key's signature on it is good."""
    name, key_id, public = key
    text, separator, block = note.rpartition("\n\n")
    if not separator or not block.endswith("\n"):
        raise Problem(what + " is not a signed note")
    text += "\n"
    lines = block.split("\n")[:-1]
    if not 0 < len(lines) <= 16:
        raise Problem(what + " has no signature, or too many")
    for line in lines:
        words = line.split(" ")
        if len(words) != 3 or words[0] != "\u2014":
            raise Problem(what + " has a malformed signature line")
        if words[1] != name:
            continue
        try:
            signature = base64.b64decode(words[2], validate=True)
        except (ValueError, binascii.Error):
            raise Problem(what + " has a signature that is not base64") from None
        if signature[:4] != key_id:
            continue
        if not ed25519_is_good(public, text.encode(), signature[4:]):
            raise Problem(what + " was changed: its signature is wrong")
        return text
    raise Problem(what + " is not signed by the given key: wrong key, or another log")


def read_checkpoint(note, key, what):
    """(size, root, time) of a signed checkpoint of the key's log."""
    lines = open_note(note, key, what).split("\n")[:-1]
    if len(lines) < 3 or lines[0] != key[0]:
        raise Problem(what + " belongs to another log")
    if not (lines[1].isascii() and lines[1].isdigit() and len(lines[1]) <= 18):
        raise Problem(what + " has no readable size")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (ValueError, binascii.Error):
        raise Problem(what + " has no readable root") from None
    at = next((line[5:] for line in lines[3:] if line.startswith("time ")), "")
    return int(lines[1]), root, at


# --- Merkle tree (RFC 6962) ----------------------------------------------------------------------


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(peaks):
    if not peaks:
        return hashlib.sha256(b"").digest()
    result = peaks[-1]
    for peak in reversed(peaks[:-1]):
        result = node(peak, result)
    return result


def append(peaks, size, entry):
    merged = hashlib.sha256(b"\x00" + entry).digest()
    while size & 1:
        merged = hashlib.sha256(b"\x01" + peaks.pop() + merged).digest()
        size >>= 1
    peaks.append(merged)


def root_from_path(leaf, index, size, path):
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2), or None when it cannot fit."""
    if not 0 <= index < size or len(path) > MAX_STEPS:
        return None
    fn, sn, root = index, size - 1, leaf
    for step in path:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            root = node(step, root)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            root = node(root, step)
        fn >>= 1
        sn >>= 1
    return root if sn == 0 else None


def proven(line, size, root, what):
    """(number, entry) of a line that carries an entry with its proof under a checkpoint."""
    try:
        given = json.loads(line)
        seq, body = given["seq"], given["entry"].encode()
        path = [base64.b64decode(step, validate=True) for step in given["path"]]
        entry = json.loads(body)
        entry["kind"], entry["id"], entry["details"]
    except (ValueError, KeyError, TypeError, AttributeError, UnicodeError):
        raise Problem(what + " has a line that is no entry with a proof") from None
    if type(seq) is not int or any(len(step) != 32 for step in path):
        raise Problem(what + " has a line that is no entry with a proof")
    leaf = hashlib.sha256(b"\x00" + body).digest()
    if root_from_path(leaf, seq, size, path) != root:
        raise Problem("entry %d of %s is not in the log: its proof fails" % (seq, what))
    return seq, entry


# --- The ZIP, distrusted -------------------------------------------------------------------------


class Bundle:
    """Reads the expected files of a ZIP and never more bytes than it allows."""

    def __init__(self, path):
        self.path = path
        self._refuse_large_directory(path)
        self.zip = zipfile.ZipFile(path)
        names = [member.filename for member in self.zip.infolist()]
        if len(names) != len(set(names)):
            raise Problem("the bundle holds a file name twice")
        self.is_evidence = "proven.jsonl" in names
        self.files = EVIDENCE_FILES if self.is_evidence else FILES
        expected = self.files | SIGNED
        if missing := sorted(expected - set(names)):
            raise Problem("the bundle lacks the file " + missing[0])
        if extra := sorted(set(names) - expected):
            raise Problem("the bundle holds a file that does not belong there: " + repr(extra[0]))
        for member in self.zip.infolist():
            if member.flag_bits & 1:
                raise Problem(member.filename + " is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Problem(member.filename + " is packed in a way that is not used here")
        self._refuse_overlaps(os.path.getsize(path))

    def _refuse_large_directory(self, path):
        # zipfile reads the whole directory into memory, so its end record is looked at first.
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            file.seek(max(0, size - 98))
            tail = file.read(98)
        end = tail[-22:]
        if len(end) < 22 or end[:4] != b"PK\x05\x06" or end[20:] != b"\x00\x00":
            raise Problem("this is not a whole ZIP file: it was cut off or something was added")
        count, length = struct.unpack("<HL", end[10:16])
        if b"PK\x06\x06" in tail[:-22]:
            count, length = struct.unpack("<QQ", tail[tail.index(b"PK\x06\x06") :][32:48])
        if count > 32 or length > 32_768:
            raise Problem("the bundle claims to hold %d files" % count)

    def _refuse_overlaps(self, size):
        end = 0
        for member in sorted(self.zip.infolist(), key=lambda member: member.header_offset):
            if member.header_offset < end or member.compress_size > size:
                raise Problem("files overlap inside the bundle")
            end = member.header_offset + 30 + len(member.filename) + member.compress_size

    def chunks(self, name, limit):
        """The bytes of a file in pieces; a file longer than the limit is a problem."""
        if self.zip.getinfo(name).file_size > limit:
            raise Problem(name + " is larger than it may be")
        total = 0
        try:
            with self.zip.open(name) as file:
                while piece := file.read(CHUNK):
                    total += len(piece)
                    if total > limit:
                        raise Problem(name + " is larger than it may be")
                    yield piece
        except (zipfile.BadZipFile, zipfile.zlib.error, EOFError, OSError) as problem:
            raise Problem(name + " was changed: " + str(problem)) from None

    def small(self, name):
        return b"".join(self.chunks(name, SMALL))

    def text(self, name):
        try:
            return self.small(name).decode()
        except UnicodeDecodeError:
            raise Problem(name + " is not text") from None


def lines_of(chunks, name="entries.jsonl", longest=MAX_ENTRY):
    """Whole lines without their newline; the last one must be complete."""
    rest = b""
    for piece in chunks:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        if len(rest) > longest or any(len(line) > longest for line in lines):
            raise Problem(name + " has a line that is too long")
        yield from lines
    if rest:
        raise Problem(name + " does not end with a whole line")


# --- What the entries say ------------------------------------------------------------------------


def csv_line(fields):
    """One CSV line. A cell that a spreadsheet would take for a formula gets an apostrophe."""
    cells = []
    for field in fields:
        text = str(field).replace("\x00", "")
        if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%"):
            text = "'" + text
        cells.append('"' + text.replace('"', '""') + '"')
    return (",".join(cells) + "\r\n").encode()


class Census:
    """Counts while the entries go by. The report is made with it, the verifier checks with it."""

    def __init__(self, start, period_from, period_to):
        self.seq = start
        self.period = (period_from, period_to)
        self.in_period = self.decisions = self.outcomes = 0
        self.kinds = {}
        self.open = set()
        self.writers = {}
        self.digests = set()
        self.csv = hashlib.sha256(csv_line(COLUMNS))
        self.csv_bytes = len(csv_line(COLUMNS))

    def add(self, entry):
        """Take one decoded entry; returns its CSV line."""
        kind, at = entry["kind"], entry["at"]
        inside = self.period[0] <= at < self.period[1]
        if inside:
            self.in_period += 1
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if kind == "decision.made":
            self.decisions += inside
            self.open.add(entry["decision_id"])
        elif kind in TERMINAL:
            self.outcomes += inside
            self.open.discard(entry["decision_id"])
        self.note_digest(entry)
        self._number(entry["writer"]["id"], entry["writer"]["n"])
        line = self._csv(entry, inside)
        self.csv.update(line)
        self.csv_bytes += len(line)
        self.seq += 1
        return line

    def note_digest(self, entry):
        """Remember which policy documents the entries name."""
        details = entry["details"]
        name = "policy_digest" if entry["kind"] == "decision.made" else "digest"
        if entry["kind"].startswith(("policy.", "decision.made")) and len(self.digests) < 100_000:
            self.digests.add(str(details.get(name)))

    def _number(self, writer, n):
        low, high, seen = self.writers.get(writer, (n, n, 0))
        self.writers[writer] = (min(low, n), max(high, n), seen + 1)

    def _csv(self, entry, inside):
        actor, thing = entry["actor"], entry["object"]
        return csv_line(
            (
                self.seq, "yes" if inside else "no", entry["at"], entry["kind"], actor["kind"],
                actor["name"], " ".join(actor["roles"]), thing["type"], thing["id"],
                entry["result"], entry["reason"], entry["corr"]["request_id"],
                entry.get("decision_id", ""), entry["id"],
            )
        )  # fmt: skip

    def counts(self):
        return {
            "entries_in_period": self.in_period,
            "decisions": self.decisions,
            "outcomes": self.outcomes,
            "open_at_end": len(self.open),
            "kinds": dict(sorted(self.kinds.items())),
        }

    def holes(self):
        return sum(1 for low, high, seen in self.writers.values() if high - low + 1 != seen)


# --- The check -----------------------------------------------------------------------------------


def verify(path, given_key, seed=""):
    """Check everything; returns the lines to print, raises Problem."""
    key = read_key(given_key)
    if not os.path.isfile(path):
        raise Problem("there is no such file: " + os.path.basename(path))
    bundle = Bundle(path)
    manifest = _manifest(bundle, key)
    if bundle.is_evidence:
        return _evidence(bundle, manifest, key)
    start = read_checkpoint(bundle.text("checkpoint-start.txt"), key, "the start checkpoint")
    end = read_checkpoint(bundle.text("checkpoint-end.txt"), key, "the end checkpoint")
    if [start[0], end[0]] != [manifest["start_size"], manifest["end_size"]] or start[0] > end[0]:
        raise Problem("the checkpoints are not those that the manifest names")
    _files(bundle, manifest)
    peaks = _frontier(bundle, start)
    period_from, period_to = manifest["period_from"], manifest["period_to"]
    if start[0] and start[2] > period_from:
        raise Problem("the start checkpoint was signed within the period: the beginning is missing")
    census = Census(start[0], period_from, period_to)
    earlier = _earlier(bundle, manifest, census, start)
    picks = Picks(seed) if seed else None
    _entries(bundle, manifest, peaks, census, start, end, picks)
    documents = _documents(bundle, manifest, census)
    lines = _verdict(key, manifest, census, start, end)
    lines.append(
        "earlier    %d entries of before, each proven under the start checkpoint" % earlier
    )
    lines.append("policies   %d documents, each the one whose digest the entries name" % documents)
    return lines + (picks.lines() if picks else [])


def _manifest(bundle, key):
    raw = bundle.small("manifest.json")
    text = open_note(bundle.text("manifest.note"), key, "the manifest's signature")
    head = text.split("\n")
    if head[0] != MANIFEST_HEAD or head[-2] != "sha256 " + hashlib.sha256(raw).hexdigest():
        raise Problem("manifest.json was changed: it is not the one that was signed")
    manifest = json.loads(raw)
    wanted = EVIDENCE if bundle.is_evidence else FORMAT
    if manifest["format"] != wanted or manifest["origin"] != key[0]:
        raise Problem("the manifest is of another format or another log")
    if set(manifest["files"]) != bundle.files:
        raise Problem("the manifest does not list exactly the files of a bundle")
    return manifest


def _files(bundle, manifest):
    for name, wanted in sorted(manifest["files"].items()):
        digest, total = hashlib.sha256(), 0
        for piece in bundle.chunks(name, wanted["bytes"]):
            digest.update(piece)
            total += len(piece)
        if total != wanted["bytes"] or digest.hexdigest() != wanted["sha256"]:
            raise Problem(name + " was changed: it is not the file that was signed")


def _frontier(bundle, start):
    try:
        peaks = [
            base64.b64decode(line, validate=True)
            for line in bundle.text("frontier-start.txt").split("\n")[:-1]
        ]
    except (ValueError, binascii.Error):
        raise Problem("frontier-start.txt is not readable") from None
    if len(peaks) != bin(start[0]).count("1") or any(len(peak) != 32 for peak in peaks):
        raise Problem("frontier-start.txt does not fit the size of the start checkpoint")
    if root_of(peaks) != start[1]:
        raise Problem("frontier-start.txt does not lead to the root of the start checkpoint")
    return peaks


def _lines(bundle, manifest, name, longest):
    return lines_of(bundle.chunks(name, manifest["files"][name]["bytes"]), name, longest)


def _earlier(bundle, manifest, census, start):
    last = -1
    count = 0
    for line in _lines(bundle, manifest, "earlier.jsonl", MAX_PROVEN):
        seq, entry = proven(line, start[0], start[1], "earlier.jsonl")
        if seq <= last:
            raise Problem("earlier.jsonl holds entry %d twice or out of order" % seq)
        last = seq
        count += 1
        census.note_digest(entry)
    return count


def _documents(bundle, manifest, census):
    count = 0
    for line in _lines(bundle, manifest, "policies.jsonl", MAX_DOCUMENT):
        if "sha256:" + hashlib.sha256(line).hexdigest() not in census.digests:
            raise Problem("policies.jsonl holds a document that no entry names by its digest")
        count += 1
    return count


def _evidence(bundle, manifest, key):
    """One decision: every entry about it with its own proof under one signed checkpoint."""
    size, root, at = read_checkpoint(bundle.text("checkpoint.txt"), key, "the checkpoint")
    if size != manifest["size"]:
        raise Problem("the checkpoint is not the one that the manifest names")
    _files(bundle, manifest)
    decision = manifest["decision_id"]
    kinds, last = [], -1
    for line in _lines(bundle, manifest, "proven.jsonl", MAX_PROVEN):
        seq, entry = proven(line, size, root, "proven.jsonl")
        if seq <= last:
            raise Problem("proven.jsonl holds entry %d twice or out of order" % seq)
        if entry.get("decision_id") != decision:
            raise Problem("entry %d is about another decision" % seq)
        last = seq
        kinds.append(entry["kind"])
    ends = [kind for kind in kinds if kind in TERMINAL]
    if kinds.count("decision.made") != 1 or len(ends) > 1:
        raise Problem("the entries are not those of one decision")
    if kinds != manifest["kinds"]:
        raise Problem("the entries are not those that the manifest names")
    return [
        "log        %s" % key[0],
        "key        %s" % key[1].hex(),
        "decision   %s" % decision,
        "entries    %d, each in the log of %d entries: %s" % (len(kinds), size, ", ".join(kinds)),
        "root       %s" % root.hex(),
        "signed     %s" % (at or "unknown"),
        "outcome    %s" % (ends[0] if ends else "none yet"),
        "not shown  that no other entry is about it (a report over the period shows that),",
        "           or that what was recorded is true",
    ]


class Picks:
    """The entries with the smallest hash under a seed, of every population of the report."""

    def __init__(self, seed):
        self.seed = seed
        self.kept = {}

    def offer(self, seq, entry):
        for population in self.populations(entry):
            rank = hashlib.sha256((self.seed + "\n" + entry["id"]).encode()).hexdigest()
            kept = self.kept.setdefault(population, [])
            kept.append((rank, seq, entry["kind"], entry["id"]))
            if len(kept) >= 8 * SAMPLE:
                self.kept[population] = sorted(kept)[:SAMPLE]

    def populations(self, entry):
        kind = entry["kind"]
        if kind == "decision.made":
            yield "decisions"
            if (entry["details"].get("decision") or {}).get("boundary") == "public":
                yield "crossings"
        elif kind == "review.decided" and entry["actor"]["kind"] == "person":
            yield "reviews"
        elif entry["actor"]["kind"] == "person" and not kind.startswith(("review.", "decision.")):
            yield "acts"

    def lines(self):
        found = ["sample     seed %s" % self.seed]
        for population, kept in sorted(self.kept.items()):
            for _, seq, kind, identity in sorted(kept)[:SAMPLE]:
                found.append("  %-9s entry %d  %s  %s" % (population, seq, kind, identity))
        return found


def _entries(bundle, manifest, peaks, census, start, end, picks=None):
    size = start[0]
    for line in _lines(bundle, manifest, "entries.jsonl", MAX_ENTRY):
        if size >= end[0]:
            raise Problem("entries.jsonl holds more entries than the end checkpoint covers")
        if not 2 <= len(line) <= MAX_ENTRY:
            raise Problem("entry %d has an impossible length" % size)
        append(peaks, size, line)
        try:
            entry = json.loads(line)
            census.add(entry)
            if picks and census.period[0] <= entry["at"] < census.period[1]:
                picks.offer(size, entry)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Problem("entry %d is not a readable entry" % size) from None
        size += 1
    if size < end[0]:
        raise Problem(
            "entries are missing: the end checkpoint covers %d, the bundle reaches %d"
            % (end[0], size)
        )
    if root_of(peaks) != end[1]:
        raise Problem(
            "an entry was changed, added, dropped or moved: the entries do not lead to the root of "
            "the end checkpoint"
        )
    wanted = manifest["files"]["events.csv"]
    if census.csv.hexdigest() != wanted["sha256"] or census.csv_bytes != wanted["bytes"]:
        raise Problem("events.csv does not say what the entries say")
    if census.counts() != manifest["counts"]:
        raise Problem("the counts of the manifest are not those of the entries")


def _verdict(key, manifest, census, start, end):
    total = end[0] - start[0]
    counts = census.counts()
    lines = [
        "log        %s" % key[0],
        "key        %s" % key[1].hex(),
        "period     %s to %s (end not included)" % (manifest["period_from"], manifest["period_to"]),
        "entries    %d in the bundle, %d of them in the period" % (total, census.in_period),
        "range      entry %d up to, not including, %d; none added, changed, dropped or moved"
        % (start[0], end[0]),
        "root       %s" % end[1].hex(),
        "decisions  %d made, %d outcomes in the period, %d still open at the end"
        % (counts["decisions"], counts["outcomes"], counts["open_at_end"]),
    ]
    if end[2] and end[2] >= manifest["period_to"]:
        lines.append("complete   the log was signed at %s, after the period ended" % end[2])
    else:
        lines.append(
            "complete   only until %s: the period was not over then" % (end[2] or "unknown")
        )
    if census.holes():
        lines.append(
            "note       %d writers skip a number here; their events may lie just outside this range"
            % census.holes()
        )
    lines.append(
        "not shown  that what was recorded is true, or that no other log was shown to others"
    )
    return lines


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Checks a Signalbox report bundle offline.")
    parser.add_argument("bundle")
    parser.add_argument("--key", required=True, help="the log's verifier key: text, or a file")
    parser.add_argument("--sample", default="", metavar="SEED", help="print the sample of a seed")
    options = parser.parse_args(arguments)
    name = os.path.basename(options.bundle)
    try:
        lines = verify(options.bundle, options.key, options.sample)
    except Problem as problem:
        print("FAILS " + name + ": " + str(problem))
        return 1
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as problem:
        print("FAILS " + name + ": it cannot be read (" + type(problem).__name__ + ")")
        return 1
    print("HOLDS " + name)
    for line in lines:
        print("  " + line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
