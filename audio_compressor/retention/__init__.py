"""Audio that is kept only for as long as it is worked on: where it is handed in (store.py), what is known of each
(state.py), what is there (inventory.py), and when it goes (cleanup.py).
"""
