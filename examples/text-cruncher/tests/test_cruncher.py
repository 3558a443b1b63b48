import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import cruncher


class CruncherTest(unittest.TestCase):
    LINES = ["000000 ann GET /home/1 5", "000001 bob GET /cart/2 7", "000002 ann GET /home/3 11"]

    def test_users_are_listed_once_in_order(self):
        self.assertEqual(list(cruncher.distinct_users(self.LINES)), ["ann", "bob"])

    def test_requests_are_dealt_in_turn(self):
        self.assertEqual(cruncher.schedule(self.LINES, 2), [23, 10])

    def test_sections_are_counted(self):
        self.assertEqual(cruncher.sections(self.LINES), {"home": 2, "cart": 1})

    def test_the_corpus_is_reproducible(self):
        self.assertEqual(list(cruncher.corpus(50)), list(cruncher.corpus(50)))


if __name__ == "__main__":
    unittest.main()
