from unittest import TestCase

from planner.teams import people_for, with_team, work

PLAN = {"a": (3, []), "b": (4, []), "c": (2, ["a"]), "d": (2, ["a", "b"])}


class TestTeams(TestCase):
    def test_alone(self):
        self.assertEqual(with_team(PLAN, 1), 11)

    def test_two(self):
        self.assertEqual(with_team(PLAN, 2), 6)

    def test_nobody(self):
        self.assertRaises(ValueError, with_team, PLAN, 0)

    def test_people(self):
        self.assertEqual(people_for(PLAN), 2)

    def test_too_many_people(self):
        self.assertIsNone(people_for({"a": (1, []), "b": (1, []), "c": (1, [])}, 2))

    def test_one_person_is_enough(self):
        self.assertEqual(people_for({"a": (1, [])}), 1)

    def test_work(self):
        self.assertEqual(work(PLAN), 11)

    def test_work_for_two(self):
        self.assertEqual(work(PLAN, 2), 6)
