"""The bundle, the folder that ships: its seal, signature, model card, reports and int8 form."""
