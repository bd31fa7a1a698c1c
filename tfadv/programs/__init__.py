"""Programs behind `tfadv NAME` and `launch/NAME.py`: they parse flags and call one function."""
