"""Tabs between words, which YAML has and ruamel's scanner has not.

They cannot be seen, and llama-swap's parser takes them. A tab for an indentation stays a mistake:
nobody knows how wide it is meant to be.
"""

from typing import Any

from ruamel.yaml.scanner import Scanner


class TabbedScanner(Scanner):
    """Takes a tab behind a word for a space; leans on methods of ruamel's own."""

    def scan_to_next_token(self) -> Any:
        """Skip what stands before the next word."""
        super().scan_to_next_token()
        while self.reader.peek() == "\t" and (self._behind_a_word() or self._before_nothing()):
            self._blanks()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        """Take what stands between two words of a text without quotes."""
        blanks = self._blanks()
        more = super().scan_plain_spaces(indent, start_mark)
        return [blanks] if more == [] and blanks else more

    def scan_block_scalar_indicators(self, start_mark: Any) -> Any:
        """Read what stands directly behind `|` or `>`."""
        while self.reader.peek() == "\t":
            self.reader.forward()
        return super().scan_block_scalar_indicators(start_mark)

    def scan_block_scalar_ignored_line(self, start_mark: Any) -> Any:
        """Skip the rest of the line behind `|` or `>`."""
        self._blanks()
        return super().scan_block_scalar_ignored_line(start_mark)

    def _blanks(self) -> str:
        blanks = ""
        while (char := self.reader.peek()) in (" ", "\t"):
            blanks += char
            self.reader.forward()
        return blanks

    def _before_nothing(self) -> bool:
        ahead = 0
        while self.reader.peek(ahead) in (" ", "\t"):
            ahead += 1
        return self.reader.peek(ahead) in "#\0\r\n\x85\u2028\u2029"

    def _behind_a_word(self) -> bool:
        here = self.reader.pointer
        return bool(self.reader.buffer[here - self.reader.column : here].strip())
