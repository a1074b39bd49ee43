!> In place of gyre_output.f90 where the weir client is not built: the same calls, which do nothing.
module gyre_output
  use gyre_grid, only: dp, tile
  use gyre_config, only: config
  use gyre_physics, only: ocean, state
  implicit none
  private
  public :: output, output_open, output_step, output_close

  type output
    logical :: open = .false.
  end type output

contains

  !> Refuses a run that an analysis waits for.
  subroutine output_open(self, t, cfg, error)
    type(output), intent(out) :: self
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    character(len=*), intent(out) :: error
    integer :: length
    error = ''
    if (cfg%output_every == 0) return
    call get_environment_variable('WEIR_RUN', length=length)
    if (length > 0) error = 'WEIR_RUN is set, but this gyre was built without the weir client'
  end subroutine output_open

  subroutine output_step(self, t, o, s, step, time)
    type(output), intent(inout) :: self
    type(tile), intent(in) :: t
    type(ocean), intent(inout) :: o
    type(state), intent(inout) :: s
    integer, intent(in) :: step
    real(dp), intent(in) :: time
    self%open = .false.
  end subroutine output_step

  subroutine output_close(self)
    type(output), intent(inout) :: self
    self%open = .false.
  end subroutine output_close

end module gyre_output
