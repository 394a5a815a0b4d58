"""An order in which tasks can be done."""


def unknown(plan):
    """Tasks that others wait for and nobody has planned, sorted."""
    found = set()
    for _, needs in plan.values():
        for need in needs:
            if need not in plan:
                found.add(need)
    return sorted(found)


def ordered(plan):
    """All tasks after those they wait for; by name where there is a choice."""
    done = []
    while len(done) < len(plan):
        ready = [
            task for task in sorted(plan) if task not in done and all(need in done for need in plan[task][1])
        ]
        if not ready:
            raise ValueError("tasks wait for each other")
        done.append(ready[0])
    return done


def all_needs(plan, task):
    """Everything that has to be done before a task, sorted."""
    found = set()
    waiting = list(plan[task][1])
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting.extend(plan[need][1])
    return sorted(found)
