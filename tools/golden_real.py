def golden_of(folder, model): pass
