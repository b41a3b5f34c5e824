"""M2BERT: pre-training and fine-tuning of a ModernBERT encoder on Compound-Word notes."""
