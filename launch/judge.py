"""`tfadv judge`, from a clone."""

from tfadv.programs.main import main

if __name__ == "__main__":
    main("judge")
