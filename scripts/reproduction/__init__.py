"""The paper, reproduced: see ../reproduce_paper.py."""
