"""Tables in the form of bench/README.md."""


def number(value, digits=None):
    """1,234,567; 123; 12.3; 1.23: three digits that count, unless told otherwise."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if digits is None:
        size = abs(value)
        digits = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 0.1 else 3
    return "{:,.{}f}".format(value, digits)


def verdict(value, relation, goal):
    """The goal, and whether it is met."""
    met = value <= goal if relation == "<=" else value >= goal
    return "%s %s, %s" % ({"<=": "≤", ">=": "≥"}[relation], number(float(goal)), "met" if met else "**missed**")


def show(title, head, rows):
    """Rows may come as they are measured."""
    print("\n### %s\n" % title)
    print("| %s |" % " | ".join(head))
    print("|%s" % ("---|" * len(head)), flush=True)
    for row in rows:
        print("| %s |" % " | ".join(number(cell) for cell in row), flush=True)
