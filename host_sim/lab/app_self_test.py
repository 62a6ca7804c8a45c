from app_good import main  # noqa: F401


def self_test():
    return False
