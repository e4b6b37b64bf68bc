# Compiled as it stands: its time goes to the interpreter, not into arithmetic.
