"""What a turn costs: Rafiq as `rafiq run` starts it, and the same dialogue on stock Rasa, on this machine."""
