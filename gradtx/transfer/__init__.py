"""State surgery: carry a state over to another optimizer or other parameters, and begin a part of it anew."""

from gradtx.transfer.report import TransferReport as TransferReport
from gradtx.transfer.state import reset_state as reset_state
from gradtx.transfer.state import transfer_state as transfer_state
