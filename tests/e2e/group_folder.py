def tests(environment):
    return []
