"""Where in the arrays of a world things stand: one row an agent, one row a pair of stations.

Compiled functions take few arrays with many columns, which compile in a fraction of the time of many arrays.
"""

__all__ = ["ABSENT", "AGENT_COLUMNS", "FIELDS", "INLET", "INSIDE", "OUTLET", "STATION_COLUMNS"]

# Where an agent is
ABSENT, INSIDE, INLET, OUTLET = 0, 1, 2, 3

# Columns of an agent; of vectors the first of three
POSITION, VELOCITY = 0, 3
MEMORY, RATE = 6, 9  # the vehicle's: acceleration or commanded velocity, and the acceleration's rate
BLUR = 12  # error of the position as it is sensed
H, ENTROPY, INJECTED = 15, 16, 17  # smoothing length, the agent's A, the density it came in with
RHO, OMEGA, PRESSURE, SOUND = 18, 19, 20, 21  # density, 1 + (h / (D rho)) sum m dW/dh, pressure, speed of sound
SPREAD, DIVERGENCE, CURL, BALSARA = 22, 23, 24, 25
HEATING, NEAREST = 26, 27  # dA/dt; distance of the nearest agent within 2h, else 2h
PUSH, DRAG, FLOW = 28, 31, 34  # accelerations by pressure and by viscosity; the neighbours' mean velocity
ATTITUDE, TURNING = 37, 41  # a quadcopter's quaternion (4) and body rates (3)
HEIGHT, CLIMB = 44, 45  # of a quadcopter in a plane: above it, and how fast
NEARNESS, NORMAL = 46, 47  # of the nearest wall or obstacle, 1 at it and 0 where it has no image; away from it
AGENT_COLUMNS = 50

# What can be read by name: first column, and whether it is a vector
FIELDS = {
    "positions": (POSITION, True), "velocities": (VELOCITY, True), "memory": (MEMORY, True), "rates": (RATE, True),
    "blur": (BLUR, True), "h": (H, False), "entropy": (ENTROPY, False), "injected": (INJECTED, False),
    "rho": (RHO, False), "omega": (OMEGA, False), "p": (PRESSURE, False), "c": (SOUND, False),
    "spread": (SPREAD, False), "divergence": (DIVERGENCE, False), "curl": (CURL, False), "balsara": (BALSARA, False),
    "heating": (HEATING, False), "nearest": (NEAREST, False), "push": (PUSH, True), "drag": (DRAG, True),
    "flow": (FLOW, True),
}  # fmt: skip

# Columns of a world's stations: low-passed means inside the inlet and the exit; the inlet's state; the outlet zone's;
# where the last column of new agents is; the back pressure over the stagnation pressure
U_IN, RHO_IN, U_OUT, RHO_OUT, A_OUT, U_INLET, RHO_INLET, COASTING, U_ZONE, P_ZONE, COLUMN, BACK = range(12)
# Counts since the episode began: agents that came in, went out, found no place in the pool, passed the throat (those
# that came back counted off); times that one was held off a wall; columns of new agents
ENTERED, LEFT, MISSING, PASSED, CONTACTS, COLUMNS = range(12, 18)
STATION_COLUMNS = 18
