"""Read files of ``torch.save`` as data: nothing in them is imported, called or evaluated."""
