"""The tables of RAM against the picture: moving a labelled byte moves the drawn thing."""

from functools import cache

import numpy as np
import pytest

from agentgym.envs.atari.emulator import HEIGHT, WIDTH, Emulator
from agentgym.envs.atari.games import GAMES, modifications_of, table_of

START = {"breakout": 60, "boxing": 200, "gopher": 700, "bank_heist": 400}  # frames until everything is on the screen


class Scene:
    """A game in the middle, and pictures of the next frame after pokes."""

    def __init__(self, game):
        self.emulator, self.table = Emulator(game), table_of(game, "test")
        self.emulator.reset()
        generator, action = np.random.default_rng(0), 0
        for frame in range(START[game]):
            if frame % 10 == 0:
                action = int(generator.integers(len(self.emulator.actions)))
            if game == "breakout" and frame % 16 == 0:
                action = 1
            self.emulator.act(action)
        self.state, self.ram = self.emulator.ale.cloneState(), self.emulator.ram

    def shot(self, pokes=(), colour=False):
        self.emulator.ale.restoreState(self.state)
        self.emulator.poke(dict(pokes))
        self.emulator.act(0)
        return self.emulator.ale.getScreenRGB() if colour else self.emulator.ale.getScreenGrayscale()


@pytest.fixture(scope="module")
def scenes():
    return {game: Scene(game) for game in GAMES}


# Two values of each byte, far enough apart for the thing not to cover itself.
MOVES = [
    ("breakout", "ball x", 90, 120, {}), ("breakout", "ball y", 140, 165, {}), ("breakout", "paddle x", 80, 120, {}),
    ("boxing", "player x", 40, 70, {}), ("boxing", "player y", 10, 60, {}),
    ("boxing", "enemy x", 50, 80, {}), ("boxing", "enemy y", 10, 60, {}),
    ("gopher", "farmer x", 40, 110, {}), ("gopher", "gopher x", 40, 80, {}),
    ("gopher", "seed y", 50, 80, {95: 80}), ("gopher", "seed x", 60, 100, {92: 60}),
    ("bank_heist", "car x", 40, 80, {}), ("bank_heist", "car y", 60, 90, {}),
]  # fmt: skip


@pytest.mark.parametrize(("game", "label", "low", "high", "also"), MOVES)
def test_moving_a_labelled_byte_moves_the_drawn_thing(scenes, game, label, low, high, also):
    scene = scenes[game]
    found = next(each for each in scene.table.labels if each.name == label)
    first, second = (scene.shot({**also, found.byte: value}).astype(int) for value in (low, high))
    rows, columns = np.nonzero(first != second)
    assert 1 <= len(rows) < 2000  # the thing, not the whole screen
    places = columns if found.axis == "x" else rows
    assert places.max() - places.min() >= (high - low) * 0.6  # one pixel per unit, up to the thing's own size
    assert places.max() - places.min() <= (high - low) + 60


def test_a_slot_of_bank_heist_holds_a_bank_a_police_car_or_nothing(scenes):
    scene = scenes["bank_heist"]
    bank, police, nothing = (scene.shot({24: kind}) for kind in (253, 254, 255))
    for other in (police, nothing):
        rows, columns = np.nonzero(bank != other)
        assert 8 <= len(rows) <= 80
        assert np.ptp(columns) < 80


@pytest.mark.parametrize(("game", "name"), [(game, name) for game in GAMES for name in table_of(game, "").objects])
def test_hidden_objects_disappear_from_the_picture_only_there(scenes, game, name):
    scene = scenes[game]
    pokes = scene.table.objects[name].active(scene.ram)
    if not pokes or all(scene.ram[byte] == value for byte, value in pokes.items()):
        pytest.skip("not on the screen in this scene")
    rows, _ = np.nonzero(scene.shot() != scene.shot(pokes))
    assert 1 <= len(rows) <= (HEIGHT * WIDTH) // 3


def test_bricks_are_drawn_where_their_bits_are_set(scenes):
    scene = scenes["breakout"]
    whole = scene.shot()
    seen = np.zeros((HEIGHT, WIDTH), int)
    for label in scene.table.labels:
        for bit in label.bits:
            pair = 3 << (bit - 1)
            without = scene.shot({label.byte: int(scene.ram[label.byte]) & ~pair})
            changed = without != whole
            if scene.ram[label.byte] & (1 << bit):
                rows, columns = np.nonzero(changed)
                assert 57 <= rows.min() <= rows.max() <= 92
                assert len(rows) == 8 * 6  # 8 pixels wide, 6 high
                assert np.ptp(columns) == 7
            seen += changed
    assert seen.max() == 1  # no brick has two bits
    assert sum(len(label.bits) for label in scene.table.labels) == 108


@pytest.mark.parametrize("game", GAMES)
def test_values_stay_near_their_scale_over_a_whole_game(game):
    """Labels are read over whole games; entries of things that are absent are 0, and their flag says so."""
    emulator, table, generator = Emulator(game), table_of(game, "test"), np.random.default_rng(1)
    emulator.reset()
    low, high = table.bounds()
    rows, action = [], 0
    for frame in range(2500):
        if frame % 8 == 0:
            action = int(generator.integers(len(emulator.actions)))
        emulator.act(action)
        rows.append(table.read(emulator.ram))
        if emulator.over:
            emulator.reset()
    seen = np.array(rows)
    assert np.isfinite(seen).all()
    assert ((low <= seen) & (seen <= high)).all()
    moving = [entry for entry, name in enumerate(table.names) if name.endswith((" x", " y"))]
    assert np.abs(seen[:, moving]).max() <= 1.35
    for entry, name in enumerate(table.names):
        if name.endswith(" there"):
            assert set(np.unique(seen[:, entry])) <= {-1.0, 1.0}
            assert (seen[seen[:, entry] < 0, entry - 1] == 0).all()


@cache
def emulators(game):
    return Emulator(game), Emulator(game)


NEEDED = {"no-police": {24: 254}}  # what the game would show later


@pytest.mark.parametrize(("game", "name"), [(game, name) for game in GAMES for name in modifications_of(game)])
def test_every_modification_changes_what_it_says(game, name):
    """A modified game differs from the plain one under equal actions, in RAM or picture, and stays playable."""
    plain, changed = emulators(game)
    modification = modifications_of(game)[name]()
    assert modification.summary
    plain.reset()
    changed.reset()
    modification.begin(changed)
    differs = 0
    for frame in range(300):
        action = (frame // 12) % len(plain.actions)
        if frame == 50:
            plain.poke(NEEDED.get(name, {}))
            changed.poke(NEEDED.get(name, {}))
        before = changed.ram
        plain.act(action)
        changed.act(action)
        modification.frame(changed, before, changed.ram)
        if plain.over or changed.over:
            break
        differs += int((plain.ale.getScreenGrayscale() != changed.ale.getScreenGrayscale()).sum() > 0)
    assert frame > 100
    assert differs > 20
