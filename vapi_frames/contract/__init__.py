"""The words of the published contract, and what each measure means."""
