"""A small terminal: what a person would see of a program's output (ECMA-48, xterm's subset that
ncurses uses). What it does not know fails the test: a hostile sequence cannot hide in it."""

import re
import unicodedata

SEQUENCE = re.compile(r"\x1b\[([?>]?)([0-9;]*)([A-Za-z@`])")
OTHER = re.compile(r"\x1b(\([0AB]|\)[0AB]|[=>78MDE]|\][^\x07\x1b]*(?:\x07|\x1b\\))")


class Screen:
    def __init__(self, rows=24, columns=80):
        self.rest, self.titles, self.unknown, self.bells = "", [], [], 0
        self.alternate = self.hidden = False
        self.pending = b""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = self.top = 0
        self.bottom = rows - 1
        self.last = " "

    @property
    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    @property
    def text(self):
        return "\n".join(self.lines)

    def feed(self, data):
        data = self.pending + data
        for cut in range(0, 4):  # a character may be cut at the end
            try:
                text = data[:len(data) - cut].decode()
                self.pending = data[len(data) - cut:]
                break
            except UnicodeDecodeError:
                continue
        else:
            raise AssertionError(f"not UTF-8: {data[-40:]!r}")
        text = self.rest + text
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                used = self.escape(text, at)
                if used is None:
                    break
                at += used
            else:
                self.put(text[at])
                at += 1
        self.rest = text[at:]

    def escape(self, text, at):
        match = SEQUENCE.match(text, at)
        if match:
            self.control(*match.groups())
            return match.end() - at
        match = OTHER.match(text, at)
        if match:
            if match.group(1).startswith("]"):
                self.titles.append(match.group(1))
            elif match.group(1) == "M":
                self.up()
            return match.end() - at
        if len(text) - at < 32:
            return None
        self.unknown.append(text[at:at + 16])
        return 1

    def up(self):
        if self.row == self.top:
            self.scroll(-1)
        else:
            self.row -= 1

    def scroll(self, by):
        blank = [" "] * self.columns
        if by > 0:
            del self.cells[self.top]
            self.cells.insert(self.bottom, list(blank))
        else:
            del self.cells[self.bottom]
            self.cells.insert(self.top, list(blank))

    def put(self, char):
        if char == "\r":
            self.column = 0
        elif char == "\n":
            if self.row == self.bottom:
                self.scroll(1)
            else:
                self.row = min(self.row + 1, self.rows - 1)
        elif char == "\b":
            self.column = max(self.column - 1, 0)
        elif char == "\x07":
            self.bells += 1
        elif char in "\x0e\x0f":
            pass
        elif ord(char) < 32 or 0x7f <= ord(char) < 0xa0:
            self.unknown.append(char)
        elif unicodedata.combining(char):
            before = max(self.column - 1, 0)
            self.cells[self.row][before] += char
        else:
            width = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if self.column + width > self.columns:
                self.column = 0
                self.put("\n")
            self.cells[self.row][self.column] = char
            if width == 2:
                self.cells[self.row][self.column + 1] = ""
            self.column += width
            self.last = char

    def control(self, private, numbers, final):
        values = [int(number) if number else 0 for number in numbers.split(";")]
        first = values[0] or 1
        row = self.cells[self.row]
        if private:
            if private == "?" and values[0] == 1049:
                self.alternate = final == "h"
            elif private == "?" and values[0] == 25:
                self.hidden = final == "l"
            elif final not in "hlcm":
                self.unknown.append(f"{private}{numbers}{final}")
        elif final == "H" or final == "f":
            self.row = min(first, self.rows) - 1
            self.column = min((values[1] if len(values) > 1 else 1) or 1, self.columns) - 1
        elif final == "d":
            self.row = min(first, self.rows) - 1
        elif final in "G`":
            self.column = min(first, self.columns) - 1
        elif final == "A":
            self.row = max(self.row - first, 0)
        elif final == "B":
            self.row = min(self.row + first, self.rows - 1)
        elif final == "C":
            self.column = min(self.column + first, self.columns - 1)
        elif final == "D":
            self.column = max(self.column - first, 0)
        elif final == "J":
            if values[0] == 2:
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            elif values[0] == 0:
                row[self.column:] = [" "] * (self.columns - self.column)
                for below in range(self.row + 1, self.rows):
                    self.cells[below] = [" "] * self.columns
            else:
                self.unknown.append(f"{numbers}J")
        elif final == "K":
            begin, end = ((self.column, self.columns), (0, self.column + 1), (0, self.columns))[values[0]]
            row[begin:end] = [" "] * (end - begin)
        elif final == "X":
            end = min(self.column + first, self.columns)
            row[self.column:end] = [" "] * (end - self.column)
        elif final == "P":
            del row[self.column:self.column + first]
            row += [" "] * (self.columns - len(row))
        elif final == "@":
            row[self.column:self.column] = [" "] * first
            del row[self.columns:]
        elif final == "b":
            for _ in range(first):
                self.put(self.last)
        elif final == "L" or final == "M":
            keep, self.top = self.top, self.row
            for _ in range(first):
                self.scroll(-1 if final == "L" else 1)
            self.top = keep
        elif final == "S" or final == "T":
            for _ in range(first):
                self.scroll(1 if final == "S" else -1)
        elif final == "r":
            self.top = first - 1
            self.bottom = (values[1] if len(values) > 1 and values[1] else self.rows) - 1
            self.row = self.column = 0
        elif final not in "mhlt":
            self.unknown.append(f"{numbers}{final}")
