"""Messages over AMQP: what others announce is asked for, what we did is told, what is malformed is put aside."""
