"""The driver's wire contract, generated from ``proto/``; ``make proto`` gives no difference."""
